"""Lightning modules and the fit around them."""
