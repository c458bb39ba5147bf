"""What the interface says of itself: every route's description, and the OpenAPI document made of them."""
