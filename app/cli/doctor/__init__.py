"""`junis doctor`: every setting, checked against the world."""
