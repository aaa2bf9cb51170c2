/* The way from an engine to MPI. Everything whose type depends on the MPI library (communicators, types, operations,
 * requests) stays on this side; numbers and addresses cross. What can fail gives 0, or MPI's error code; GIVEN_UP when
 * the caller has ended a wait.
 *
 * Of each communicator there are two: one for messages, one for the bodies of long ones and for collectives. */

#include <mpi.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GIVEN_UP (-1)
#define COMMS 4096

typedef int (*check_t)(void *);

static MPI_Comm messages[COMMS], bodies[COMMS];
static int comms = 0;

uint32_t regatta_mpi_version(void) { return 4; }

/* Text of an error code. */
void regatta_mpi_error(int code, char *text, int room) {
    char whole[MPI_MAX_ERROR_STRING + 1] = "";
    int length = 0;
    if (MPI_Error_string(code, whole, &length) != MPI_SUCCESS)
        strcpy(whole, "an error without a text");
    strncpy(text, whole, (size_t)room - 1);
    text[room - 1] = 0;
}

/* Keeps a communicator, and makes the second one to it. */
static int keep(MPI_Comm comm, int *number) {
    if (comms == COMMS) return MPI_ERR_COMM;
    messages[comms] = comm;
    int code = MPI_Comm_dup(comm, &bodies[comms]);
    *number = comms++;
    return code;
}

int regatta_mpi_init(int *rank, int *size, int *most_tag, char *library, int room) {
    int provided = 0, length = 0, number = 0, found = 0, *most = NULL, code;
    char text[MPI_MAX_LIBRARY_VERSION_STRING + 1] = "";
    MPI_Comm world;
    /* The process has threads that MPI is never called from, as programs have whose libraries start some. To be told of
     * them Open MPI locks in each call, which takes a short message half as long again. */
    if ((code = MPI_Init_thread(NULL, NULL, MPI_THREAD_SINGLE, &provided))) return code;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    MPI_Comm_size(MPI_COMM_WORLD, size);
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &most, &found);
    *most_tag = found ? *most : 32767;
    MPI_Get_library_version(text, &length);
    text[strcspn(text, "\n")] = 0;
    strncpy(library, text, (size_t)room - 1);
    library[room - 1] = 0;
    if ((code = MPI_Comm_dup(MPI_COMM_WORLD, &world))) return code;
    return keep(world, &number);
}

int regatta_mpi_finalize(void) { return MPI_Finalize(); }

/* ---- waiting ---- */

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Busy at first; then the core is left to others, and at last slept on. Now and then the caller is asked whether to go
 * on. `waited`: nanoseconds, when it was for long. */
static int wait_for(MPI_Request *request, MPI_Status *status, check_t check, void *context, uint64_t *waited) {
    int done = 0, code, suspects = 0;
    uint64_t since = 0, asked = 0;
    for (unsigned round = 1;; round++) {
        if ((code = MPI_Test(request, &done, status))) return code;
        if (done) break;
        if (round % 256) continue;
        uint64_t at = now();
        if (!since) since = asked = at;
        if (at - since > 100000) sched_yield();
        if (at - since > 20000000) {
            struct timespec nap = {0, 50000};
            nanosleep(&nap, NULL);
        }
        if (check && at - asked > 500000) {
            asked = at;
            /* What was sent before its sender left is here by the next looks. */
            suspects = check(context) ? suspects + 1 : 0;
            if (suspects > 3) {
                if (waited) *waited += at - since;
                return GIVEN_UP;
            }
        }
    }
    if (since && waited) *waited += now() - since;
    return 0;
}

/* ---- point to point ---- */

#define LONGEST ((uint64_t)1 << 30)

static const int SIZES[] = {0, 1, 2, 4, 8, 16, 8, 1, 2, 4, 8, 16, 8, 4, 8};

static MPI_Datatype sixteen(void) {
    static MPI_Datatype type = MPI_DATATYPE_NULL;
    if (type == MPI_DATATYPE_NULL) {
        MPI_Type_contiguous(16, MPI_BYTE, &type);
        MPI_Type_commit(&type);
    }
    return type;
}

/* By the codes of the cell crate; 0: bytes. */
static MPI_Datatype type_of(int number) {
    switch (number) {
    case 1: return MPI_UINT8_T;
    case 2: return MPI_UINT16_T;
    case 3: return MPI_UINT32_T;
    case 4: case 6: return MPI_UINT64_T;
    case 7: return MPI_INT8_T;
    case 8: return MPI_INT16_T;
    case 9: return MPI_INT32_T;
    case 10: case 12: return MPI_INT64_T;
    case 13: return MPI_FLOAT;
    case 14: return MPI_DOUBLE;
    case 5: case 11: return sixteen();
    default: return MPI_BYTE;
    }
}

static int size_of(int number) { return number > 0 && number < 15 ? SIZES[number] : 1; }

/* A short message, of which MPI has a copy to read until it has taken it. */
struct going {
    MPI_Request request; /* First: a request's handle is its address. */
    char bytes[4096];
};

/* MPI takes a short message at once, as long as it has memory for what its receiver has not looked at. When it has not
 * after some tries, the request is given, to be ended like any other: that wait can end in vain, and MPI_Send's cannot. */
int regatta_mpi_send(int comm, const void *bytes, int length, int to, int tag, void **later) {
    static struct going *going = NULL;
    int done = 0, code;
    *later = NULL;
    if (!going && !(going = malloc(sizeof *going))) return MPI_ERR_NO_MEM;
    if (length > (int)sizeof going->bytes) return MPI_ERR_COUNT;
    if (length == 8)
        memcpy(going->bytes, bytes, 8);
    else
        memcpy(going->bytes, bytes, (size_t)length);
    if ((code = MPI_Isend(going->bytes, length, MPI_BYTE, to, tag, messages[comm], &going->request))) return code;
    for (int round = 0; round < 256; round++) {
        if ((code = MPI_Test(&going->request, &done, MPI_STATUS_IGNORE)) || done) return code;
    }
    *later = going;
    going = NULL;
    return 0;
}

/* Receives a message that comes within some tries; the wait for any other goes on with the request that is given. */
int regatta_mpi_recv(int comm, void *bytes, int room, int from, int tag, int *source, int *got_tag, int *length,
                     void **later) {
    static MPI_Request *request = NULL;
    MPI_Status status;
    int done = 0, code;
    *later = NULL;
    if (!request && !(request = malloc(sizeof *request))) return MPI_ERR_NO_MEM;
    if ((code = MPI_Irecv(bytes, room, MPI_BYTE, from < 0 ? MPI_ANY_SOURCE : from, tag < 0 ? MPI_ANY_TAG : tag,
                          messages[comm], request)))
        return code;
    for (int round = 0; !done; round++) {
        if (round == 256) {
            *later = request;
            request = NULL;
            return 0;
        }
        if ((code = MPI_Test(request, &done, &status))) return code;
    }
    *source = status.MPI_SOURCE;
    *got_tag = status.MPI_TAG;
    return MPI_Get_count(&status, MPI_BYTE, length);
}

/* The body of a long message, as numbers of its type. */
int regatta_mpi_recv_body(int comm, void *bytes, uint64_t length, int number, int from, int tag, uint64_t *waited) {
    char *at = bytes;
    int size = size_of(number), code;
    while (length) {
        uint64_t part = length < LONGEST ? length : LONGEST;
        MPI_Request request;
        code = MPI_Irecv(at, (int)(part / (uint64_t)size), type_of(number), from, tag, bodies[comm], &request);
        if (code || (code = wait_for(&request, MPI_STATUS_IGNORE, NULL, NULL, waited))) return code;
        at += part;
        length -= part;
    }
    return 0;
}

/* A request under way; NULL when there is none. `body`: on the communicator for bodies. */
void *regatta_mpi_isend(int comm, int body, const void *bytes, uint64_t length, int number, int to, int tag) {
    MPI_Request *request = malloc(sizeof *request);
    if (request && MPI_Isend(bytes, (int)(length / (uint64_t)size_of(number)), type_of(number), to, tag,
                             body ? bodies[comm] : messages[comm], request)) {
        free(request);
        return NULL;
    }
    return request;
}

void *regatta_mpi_irecv(int comm, int body, void *bytes, uint64_t room, int number, int from, int tag) {
    MPI_Request *request = malloc(sizeof *request);
    if (request && MPI_Irecv(bytes, (int)(room / (uint64_t)size_of(number)), type_of(number), from < 0 ? MPI_ANY_SOURCE : from, tag < 0 ? MPI_ANY_TAG : tag,
                             body ? bodies[comm] : messages[comm], request)) {
        free(request);
        return NULL;
    }
    return request;
}

/* Ends a request, when it is done or is waited for; GIVEN_UP leaves it. */
int regatta_mpi_end(void *handle, int wait, int *done, int *source, int *tag, int *length, check_t check,
                    void *context, uint64_t *waited) {
    MPI_Request *request = handle;
    MPI_Status status;
    int code;
    *done = 0;
    if (wait) {
        if ((code = wait_for(request, &status, check, context, waited))) return code;
        *done = 1;
    } else if ((code = MPI_Test(request, done, &status))) {
        return code;
    }
    if (!*done) return 0;
    free(request);
    *source = status.MPI_SOURCE;
    *tag = status.MPI_TAG;
    return MPI_Get_count(&status, MPI_BYTE, length);
}

/* Ends a receive that nobody wants any more; whether a message has come in this moment. */
int regatta_mpi_cancel(void *handle, int *came, int *source, int *tag, int *length) {
    MPI_Request *request = handle;
    MPI_Status status;
    int cancelled = 0, code;
    MPI_Cancel(request);
    if ((code = MPI_Wait(request, &status))) return code;
    MPI_Test_cancelled(&status, &cancelled);
    free(request);
    *came = !cancelled;
    *source = status.MPI_SOURCE;
    *tag = status.MPI_TAG;
    return cancelled ? 0 : MPI_Get_count(&status, MPI_BYTE, length);
}

/* Whether a message is there. */
int regatta_mpi_probe(int comm, int from, int tag, int *there, int *source, int *got_tag) {
    MPI_Status status;
    int code = MPI_Iprobe(from < 0 ? MPI_ANY_SOURCE : from, tag < 0 ? MPI_ANY_TAG : tag, messages[comm], there, &status);
    if (code || !*there) return code;
    *source = status.MPI_SOURCE;
    *got_tag = status.MPI_TAG;
    return 0;
}

/* ---- collectives ---- */

int regatta_mpi_barrier(int comm) { return MPI_Barrier(bodies[comm]); }

int regatta_mpi_broadcast(int comm, void *bytes, uint64_t length, int number, int root) {
    char *at = bytes;
    int size = size_of(number), code;
    while (length) {
        uint64_t part = length < LONGEST ? length : LONGEST;
        if ((code = MPI_Bcast(at, (int)(part / (uint64_t)size), type_of(number), root, bodies[comm]))) return code;
        at += part;
        length -= part;
    }
    return 0;
}

/* `each`: this many numbers of eight bytes from each rank for each. */
int regatta_mpi_words(int comm, int how, const uint64_t *from, uint64_t *to, int each, int root) {
    MPI_Comm c = bodies[comm];
    switch (how) {
    case 0: return MPI_Bcast(to, each, MPI_UINT64_T, root, c);
    case 1: return MPI_Scatter(from, each, MPI_UINT64_T, to, each, MPI_UINT64_T, root, c);
    case 2: return MPI_Gather(from, each, MPI_UINT64_T, to, each, MPI_UINT64_T, root, c);
    case 3: return MPI_Allgather(from, each, MPI_UINT64_T, to, each, MPI_UINT64_T, c);
    default: return MPI_Alltoall(from, each, MPI_UINT64_T, to, each, MPI_UINT64_T, c);
    }
}

/* Where nothing is, a pointer of Rust's is a small number, which MPI may take for MPI_IN_PLACE. */
static void *place(const void *at) {
    static char nothing[16];
    return at == MPI_IN_PLACE ? nothing : (void *)at;
}

/* Parts of different lengths, counted in numbers of the type. */
int regatta_mpi_parts(int comm, int how, int number, const void *from, const int *counts, const int *at, void *to,
                      const int *to_counts, const int *to_at, int root) {
    MPI_Comm c = bodies[comm];
    MPI_Datatype t = type_of(number);
    from = place(from);
    to = place(to);
    switch (how) {
    case 1: return MPI_Scatterv(from, counts, at, t, to, to_counts[0], t, root, c);
    case 2: return MPI_Gatherv(from, counts[0], t, to, to_counts, to_at, t, root, c);
    case 3: return MPI_Allgatherv(from, counts[0], t, to, to_counts, to_at, t, c);
    default: return MPI_Alltoallv(from, counts, at, t, to, to_counts, to_at, t, c);
    }
}

/* Numbers of 128 bits, of which MPI has none. */
#define FOLD(name, type, expression)                                          \
    static void name(void *from, void *to, int *length, MPI_Datatype *unused) { \
        (void)unused;                                                         \
        for (int i = 0; i < *length; i++) {                                   \
            type a, b;                                                        \
            memcpy(&a, (char *)from + 16 * (size_t)i, 16);                    \
            memcpy(&b, (char *)to + 16 * (size_t)i, 16);                      \
            b = (expression);                                                 \
            memcpy((char *)to + 16 * (size_t)i, &b, 16);                      \
        }                                                                     \
    }
typedef unsigned __int128 u128;
typedef __int128 i128;
FOLD(sum_u, u128, a + b)
FOLD(product_u, u128, a *b)
FOLD(least_u, u128, a < b ? a : b)
FOLD(most_u, u128, a > b ? a : b)
FOLD(least_i, i128, a < b ? a : b)
FOLD(most_i, i128, a > b ? a : b)

/* The smaller or the larger of a number and NaN is the number; MPI leaves open which. */
#define CHOOSE(name, type, compare)                                           \
    static void name(void *from, void *to, int *length, MPI_Datatype *unused) { \
        type *a = from, *b = to;                                              \
        (void)unused;                                                         \
        for (int i = 0; i < *length; i++) b[i] = a[i] compare b[i] || b[i] != b[i] ? a[i] : b[i]; \
    }
CHOOSE(least_f, float, <)
CHOOSE(most_f, float, >)
CHOOSE(least_d, double, <)
CHOOSE(most_d, double, >)

static MPI_Op float_op(int is_most, int is_double) {
    static MPI_Op made[2][2];
    static int is_made = 0;
    if (!is_made) {
        MPI_User_function *of[2][2] = {{least_f, least_d}, {most_f, most_d}};
        for (int most = 0; most < 2; most++)
            for (int kind = 0; kind < 2; kind++) MPI_Op_create(of[most][kind], 1, &made[most][kind]);
        is_made = 1;
    }
    return made[is_most][is_double];
}

static MPI_Op op_of(int op, int number) {
    static MPI_Op made[2][4];
    static int is_made = 0;
    if (number >= 13 && op >= 2) return float_op(op == 3, number == 14);
    if (number != 5 && number != 11) {
        switch (op) {
        case 0: return MPI_SUM;
        case 1: return MPI_PROD;
        case 2: return MPI_MIN;
        default: return MPI_MAX;
        }
    }
    if (!is_made) {
        MPI_User_function *of[2][4] = {{sum_u, product_u, least_u, most_u}, {sum_u, product_u, least_i, most_i}};
        for (int kind = 0; kind < 2; kind++)
            for (int i = 0; i < 4; i++) MPI_Op_create(of[kind][i], 1, &made[kind][i]);
        is_made = 1;
    }
    return made[number == 11][op];
}

/* `who`: 0 the root gets it, 1 all, 2 each that of the ranks up to itself, 3 that of the ranks before it. */
int regatta_mpi_reduce(int comm, int who, int op, int number, const void *from, void *to, uint64_t length, int root) {
    MPI_Comm c = bodies[comm];
    MPI_Datatype t = type_of(number);
    MPI_Op o = op_of(op, number);
    uint64_t size = (uint64_t)size_of(number);
    const char *at = place(from);
    char *into = place(to);
    do {
        uint64_t part = length < LONGEST ? length : LONGEST;
        int count = (int)(part / size), code;
        switch (who) {
        case 0: code = MPI_Reduce(at, into, count, t, o, root, c); break;
        case 1: code = MPI_Allreduce(at, into, count, t, o, c); break;
        case 2: code = MPI_Scan(at, into, count, t, o, c); break;
        default: code = MPI_Exscan(at, into, count, t, o, c);
        }
        if (code) return code;
        at += part;
        if (into) into += part;
        length -= part;
    } while (length);
    return 0;
}

/* A color below 0 is in no communicator. `members`: room for as many ranks as the communicator has; the ranks of the world. */
int regatta_mpi_split(int comm, int color, int key, int *number, int *rank, int *size, int *members) {
    MPI_Comm made;
    MPI_Group ours, all;
    int code = MPI_Comm_split(bodies[comm], color < 0 ? MPI_UNDEFINED : color, key, &made);
    if (!code && made == MPI_COMM_NULL) return 0;
    if (code || (code = keep(made, number))) return code;
    MPI_Comm_rank(made, rank);
    MPI_Comm_size(made, size);
    MPI_Comm_group(made, &ours);
    MPI_Comm_group(MPI_COMM_WORLD, &all);
    int *ranks = malloc((size_t)*size * sizeof *ranks);
    if (!ranks) return MPI_ERR_NO_MEM;
    for (int i = 0; i < *size; i++) ranks[i] = i;
    code = MPI_Group_translate_ranks(ours, *size, ranks, all, members);
    free(ranks);
    MPI_Group_free(&ours);
    MPI_Group_free(&all);
    return code;
}
