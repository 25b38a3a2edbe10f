"""What iterates: chunks of compiled steps, their record, and the loop around them."""
