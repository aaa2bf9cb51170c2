// Rounds of messages in MPI, from C: `mpiexec -n N messages MEASURE` prints the seconds of one.
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT = 100000, WARM = 2000, LARGE = 64000000 / sizeof(double), REPEATS = 10 };

static int rank, size;

// One way, in a loop there and back between the first two ranks; the others wait in a barrier meanwhile.
static double one_way(long count, int rounds, int warm) {
    double *values = malloc(count * sizeof *values), begin = 0, seconds = 0;
    for (long i = 0; i < count; i++) values[i] = i;
    for (int round = -warm; round < rounds && rank < 2; round++) {
        if (round == 0) begin = MPI_Wtime();
        if (rank == 0) MPI_Send(values, count, MPI_DOUBLE, 1, 0, MPI_COMM_WORLD);
        MPI_Recv(values, count, MPI_DOUBLE, 1 - rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (rank == 1) MPI_Send(values, count, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD);
    }
    seconds = (MPI_Wtime() - begin) / (2.0 * rounds);
    if (rank == 0 && values[count - 1] != count - 1) MPI_Abort(MPI_COMM_WORLD, 3);
    MPI_Barrier(MPI_COMM_WORLD);
    free(values);
    return seconds;
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const char *measure = argc > 1 ? argv[1] : "";
    double seconds;
    if (!strcmp(measure, "short")) {
        // Many ranks on few cores take their time.
        int rounds = size > 2 ? SHORT / 100 : SHORT;
        seconds = one_way(1, rounds, rounds / 50);
    } else if (!strcmp(measure, "large")) {
        seconds = one_way(LARGE, REPEATS, 1);
    } else {
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    if (rank == 0) printf("%.9g\n", seconds);
    MPI_Finalize();
    return 0;
}
