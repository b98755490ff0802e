"""The promises of the product, folder by folder as the product has them."""
