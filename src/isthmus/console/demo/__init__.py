"""The demo: the story of one mesh over two clusters, told on this machine and checked claim by claim."""
