"""What people already have: scripts and configurations as plans. Nothing here runs anything."""
