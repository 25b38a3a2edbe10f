"""Methods: metrics and gradient estimators of the classical models."""
