"""Scripts for people and for make: the environment, the demo's models, the demo itself. No part of the package."""
