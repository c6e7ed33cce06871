"""What tests of this layer and of those above share. Not in the wheel."""
