"""`isthmus check`: whether clusters are, and stay, such that a mesh runs over them. A file a group of checks."""
