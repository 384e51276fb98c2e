"""When things happen: one drive's way through its job, and (with the server) many bays at once. Imports all rows below."""
