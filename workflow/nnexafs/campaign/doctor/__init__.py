"""What is missing on this machine for a campaign, and how to fix it."""
