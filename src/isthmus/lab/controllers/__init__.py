"""What turns wishes into objects: each controller watches some types and makes others follow."""
