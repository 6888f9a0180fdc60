"""What `isthmus bug-report` gathers: what is asked of clusters, what is taken out of it, and the archive."""
