"""`lung-nodules`: nodules in a chest CT."""
