"""How Isthmus comes into a cluster: settings in, objects out, and what applies, compares and removes them."""
