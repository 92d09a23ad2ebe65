"""A report as text for people and as versioned JSON. Pure: everything here returns text."""
