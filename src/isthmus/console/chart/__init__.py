"""The Helm chart and the kustomize base, made of what `isthmus install` prints."""
