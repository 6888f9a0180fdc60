"""From every source to one inbox of changes: which clusters there are, and what happens in each."""
