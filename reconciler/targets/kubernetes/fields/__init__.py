"""Who owns which field: the decision "an apply would change nothing", the live object in the words of the wanted one, and authors. Pure."""
