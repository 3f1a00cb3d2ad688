import sys
import time

from local.postgres import Postgres
from tests import database
from tests.simulation.database import prepared
from tests.simulation.runner import plan_of, run
from tests.simulation.shrink import smallest


def main():
    a=[int(x) for x in sys.argv[1:]]
    with database.fast_directory() as directory, Postgres(directory, durable=False) as server, prepared(server) as d:
        t0=time.time(); n=0
        for seed in range(a[0],a[1]):
            o=run(plan_of(seed), d); n+=o.steps
            if o.violation:
                print(seed, o.steps, str(o.violation)[:300], flush=True)
                if len(a)>2:
                    o=smallest(o, lambda p: run(p,d), seconds=a[2])
                    print("\n".join(o.history)); print(str(o.violation)); break
        print(n, "steps", (seed+1-a[0])/(time.time()-t0), "runs/s")
main()
