module node.invalid/tools/pause

go 1.26
