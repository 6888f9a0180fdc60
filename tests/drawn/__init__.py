"""What hypothesis draws: objects as people write them, all of them right, and calls that meet them, or nearly do."""
