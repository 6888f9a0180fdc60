"""Small tools without a domain: each could be a library of its own, and none knows the mesh."""
