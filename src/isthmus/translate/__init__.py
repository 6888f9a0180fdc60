"""What a proxy sees of the mesh, as Envoy's resources, by pure functions."""
