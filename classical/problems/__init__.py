"""The classical problems: models, data and what is measured of them."""
