"""One package a domain; none imports another."""
