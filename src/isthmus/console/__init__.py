"""The command line and the demo: what a person asks of the mesh, and how it is shown."""
