"""Networks from elsewhere that find things: how their boxes are described, made of their numbers, and suppressed."""
