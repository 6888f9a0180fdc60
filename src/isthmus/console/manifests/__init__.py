"""The manifests that `isthmus install` prints: YAML with `${name}` where the installation decides."""
