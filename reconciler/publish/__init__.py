"""What a pass says to the outside: the status branches. The only step after the report that does I/O."""
