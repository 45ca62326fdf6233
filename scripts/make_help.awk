# Prints the targets of the Makefile, and for those that call a script the same call without make.
match($0, /^[a-z%-]+:.*## /) { name = $0; sub(/:.*/, "", name); text = substr($0, RLENGTH + 1); printf "  make %-11s %s\n", name, text }
match($0, /(experiments|scripts)\/[a-z_]+\.py.*options,/) {
    call = substr($0, RSTART); sub(/ *\$\(call.*/, "", call)
    names = $0; sub(/.*options,/, "", names); sub(/\).*/, "", names)
    keys = tolower(names); gsub(/ /, "= ", keys)
    printf "       %-11s %s %s=\n", "", call, keys
}
END {
    print "\nEach option can be given to make in capitals or to the script as it stands, for example"
    print "  make reproduce SCALE=small SEEDS=1   =   .venv/bin/python experiments/reproduce.py scale=small seeds=1"
    print "SCALE=mini|small|paper  SEEDS=<number>  JOBS=<processes>  DATA=<folder of data sets>  SETS=cub200,davis|all"
    print "ROW=<experiment>  SELECTION=mini|small|subset_b  DEVICE=a100|h100|l4|rtx4090  DRY=1 lists the runs  PYTHON=<interpreter of make setup>"
}
