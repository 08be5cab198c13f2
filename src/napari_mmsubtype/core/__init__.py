"""Plain types shared by every room: numpy and the standard library only."""
