"""What a campaign costs by stage, from short measurements on this machine."""
