"""How clusters come into the mesh and leave it: their accounts, credentials, entries, roots and parts."""
