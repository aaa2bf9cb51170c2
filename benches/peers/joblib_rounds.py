"""Rounds of joblib on two processes (loky), with the batches it chooses by itself."""

from joblib import Parallel, delayed

from rounds import once, serve

TINY = 20_000


def inc(x):
    return x + 1


if __name__ == "__main__":
    # As its users write it; joblib keeps the workers from one call to the next.
    serve(
        {
            "tiny": lambda: once(
                lambda: Parallel(n_jobs=2)(delayed(inc)(x) for x in range(TINY)),
                lambda got: got == list(range(1, TINY + 1)),
            )
        }
    )
