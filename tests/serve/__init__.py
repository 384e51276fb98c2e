"""`eraser serve` over real block devices: many at once, killed, hung, without room, plugged and pulled."""
