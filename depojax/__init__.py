"""depojax."""
