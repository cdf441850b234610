"""What scanners do to a picture: noise of a low dose, slices thicker than they are apart."""
