/* Do verbs that a line asks for, in the guest: a region, queue pairs by hand, no connection manager.
 *
 * Each line is a command and its arguments. It is answered by lines of what it found, if any, and
 * one that begins with "done" or "failed". Offsets count from the region's first byte.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <infiniband/verbs.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 1, QUEUE_PAIRS = 8, DEPTH = 128, WORDS = 20, LINE_BYTES = 1 << 18 };

/* Completions that failed do not say of which queue they are: receive requests are marked. */
static const uint64_t RECEIVES = 1ull << 63;

struct pair {
    struct ibv_qp *qp;
    struct ibv_ah *path; /* of datagrams */
    uint32_t peer, q_key;
};

static struct ibv_context *device;
static struct ibv_pd *domain;
static struct ibv_cq *completions;
static struct ibv_mr *region;
static uint8_t *memory;
static size_t memory_bytes;
static uint8_t gid_index;
static struct pair pairs[QUEUE_PAIRS];
static char *word[WORDS];
static int word_count;

static int failed(const char *what)
{
    printf("failed %s: %s\n", what, strerror(errno));
    return -1;
}

static uint64_t number(int index)
{
    return index < word_count ? strtoull(word[index], NULL, 0) : 0;
}

static int has(int index)
{
    return index < word_count && strcmp(word[index], "-") != 0;
}

static struct pair *find(uint32_t queue_pair)
{
    for (int n = 0; n < QUEUE_PAIRS; n++)
        if (pairs[n].qp && pairs[n].qp->qp_num == queue_pair)
            return &pairs[n];
    errno = ENOENT;
    return NULL;
}

/* open ADDRESS: use the device that has this address. */
static int do_open(void)
{
    union ibv_gid wanted, found;
    int count;
    struct ibv_device **list;

    if (!device && (!(list = ibv_get_device_list(&count)) || count < 1 || !(device = ibv_open_device(list[0]))))
        return failed("open");
    if (!domain)
        domain = ibv_alloc_pd(device);
    if (!completions)
        completions = ibv_create_cq(device, 4 * DEPTH, NULL, NULL, 0);
    if (!domain || !completions || inet_pton(AF_INET6, word[1], wanted.raw) != 1)
        return failed("open");
    for (int index = 0; index < 16; index++) {
        if (ibv_query_gid(device, PORT, index, &found) == 0 && !memcmp(&found, &wanted, sizeof found)) {
            gid_index = index;
            printf("done %d\n", index);
            return 0;
        }
    }
    errno = EADDRNOTAVAIL;
    return failed("address");
}

/* region BYTES RIGHTS: a new region, all zero; the one before is no more. */
static int do_region(void)
{
    if (region && (errno = ibv_dereg_mr(region)))
        return failed("region");
    free(memory);
    memory_bytes = number(1);
    if (posix_memalign((void **)&memory, 4096, memory_bytes))
        return failed("memory");
    memset(memory, 0, memory_bytes);
    region = ibv_reg_mr(domain, memory, memory_bytes, number(2));
    if (!region)
        return failed("region");
    printf("done %" PRIuPTR " %u\n", (uintptr_t)memory, region->rkey);
    return 0;
}

/* create rc|uc|ud: a queue pair, not yet ready. */
static int do_create(void)
{
    struct ibv_qp_init_attr asked = {
        .send_cq = completions,
        .recv_cq = completions,
        .cap = {.max_send_wr = DEPTH, .max_recv_wr = DEPTH, .max_send_sge = 1, .max_recv_sge = 1},
        .qp_type = !strcmp(word[1], "rc") ? IBV_QPT_RC : !strcmp(word[1], "uc") ? IBV_QPT_UC : IBV_QPT_UD,
    };

    for (int n = 0; n < QUEUE_PAIRS; n++) {
        if (pairs[n].qp)
            continue;
        if (!(pairs[n].qp = ibv_create_qp(domain, &asked)))
            return failed("create");
        printf("done %u\n", pairs[n].qp->qp_num);
        return 0;
    }
    errno = ENOSPC;
    return failed("create");
}

/* ready QP PEER_QP PEER_ADDRESS MTU EXPECTED PSN Q_KEY RIGHTS READS RNR_TIMER TIMEOUT RETRIES RNR_RETRIES */
static int do_ready(void)
{
    struct pair *pair = find(number(1));
    struct ibv_ah_attr path = {
        .is_global = 1, .port_num = PORT, .grh = {.sgid_index = gid_index, .hop_limit = 64}};
    struct ibv_qp_attr to = {.qp_state = IBV_QPS_INIT, .port_num = PORT};
    int fields = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT;
    int is_datagram, is_reliable;

    if (!pair || inet_pton(AF_INET6, word[3], path.grh.dgid.raw) != 1)
        return failed("ready");
    is_datagram = pair->qp->qp_type == IBV_QPT_UD;
    is_reliable = pair->qp->qp_type == IBV_QPT_RC;
    pair->peer = number(2);
    pair->q_key = to.qkey = number(7);
    to.qp_access_flags = number(8);
    fields |= is_datagram ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS;
    if ((errno = ibv_modify_qp(pair->qp, &to, fields)))
        return failed("INIT");

    to.qp_state = IBV_QPS_RTR;
    to.ah_attr = path;
    to.dest_qp_num = pair->peer;
    to.path_mtu = number(4) == 4096 ? IBV_MTU_4096 : number(4) == 2048 ? IBV_MTU_2048
                : number(4) == 1024 ? IBV_MTU_1024 : number(4) == 512 ? IBV_MTU_512 : IBV_MTU_256;
    to.rq_psn = number(5);
    to.max_dest_rd_atomic = number(9);
    to.min_rnr_timer = number(10);
    fields = IBV_QP_STATE;
    if (!is_datagram)
        fields |= IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN;
    if (is_reliable)
        fields |= IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
    /* The kernel asks for the peer's Ethernet address, for a second; the answer may come late. */
    if (ibv_modify_qp(pair->qp, &to, fields) && (errno = ibv_modify_qp(pair->qp, &to, fields)))
        return failed("RTR");

    to.qp_state = IBV_QPS_RTS;
    to.sq_psn = number(6);
    to.max_rd_atomic = number(9);
    to.timeout = number(11);
    to.retry_cnt = number(12);
    to.rnr_retry = number(13);
    fields = IBV_QP_STATE | IBV_QP_SQ_PSN;
    if (is_reliable)
        fields |= IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC;
    if ((errno = ibv_modify_qp(pair->qp, &to, fields)))
        return failed("RTS");
    if (is_datagram && !(pair->path = ibv_create_ah(domain, &path)))
        return failed("path");
    printf("done\n");
    return 0;
}

/* destroy QP */
static int do_destroy(void)
{
    struct pair *pair = find(number(1));

    if (!pair || (errno = ibv_destroy_qp(pair->qp)))
        return failed("destroy");
    if (pair->path)
        ibv_destroy_ah(pair->path);
    memset(pair, 0, sizeof *pair);
    printf("done\n");
    return 0;
}

/* receive QP IDENTIFIER OFFSET BYTES */
static int do_receive(void)
{
    struct pair *pair = find(number(1));
    struct ibv_sge piece = {(uintptr_t)memory + number(3), number(4), region->lkey};
    struct ibv_recv_wr request = {
        .wr_id = number(2) | RECEIVES, .sg_list = &piece, .num_sge = piece.length > 0}, *bad;

    if (!pair || (errno = ibv_post_recv(pair->qp, &request, &bad)))
        return failed("receive");
    printf("done\n");
    return 0;
}

/* post QP send|write|read|add|swap IDENTIFIER OFFSET BYTES REMOTE_ADDRESS REMOTE_KEY
 *      IMMEDIATE|- OPERAND COMPARE */
static int do_post(void)
{
    struct pair *pair = find(number(1));
    const char *kind = word[2];
    struct ibv_sge piece = {(uintptr_t)memory + number(4), number(5), region->lkey};
    struct ibv_send_wr request = {
        .wr_id = number(3),
        .sg_list = &piece,
        .num_sge = piece.length > 0,
        .send_flags = IBV_SEND_SIGNALED,
        .imm_data = htonl(number(8)),
    }, *bad;

    if (!pair)
        return failed("post");
    if (!strcmp(kind, "add") || !strcmp(kind, "swap")) {
        int adds = kind[0] == 'a';
        request.opcode = adds ? IBV_WR_ATOMIC_FETCH_AND_ADD : IBV_WR_ATOMIC_CMP_AND_SWP;
        request.wr.atomic.remote_addr = number(6);
        request.wr.atomic.rkey = number(7);
        request.wr.atomic.compare_add = adds ? number(9) : number(10);
        request.wr.atomic.swap = number(9);
    } else if (!strcmp(kind, "send")) {
        request.opcode = has(8) ? IBV_WR_SEND_WITH_IMM : IBV_WR_SEND;
    } else {
        int reads = kind[0] == 'r';
        request.opcode = reads ? IBV_WR_RDMA_READ : has(8) ? IBV_WR_RDMA_WRITE_WITH_IMM : IBV_WR_RDMA_WRITE;
        request.wr.rdma.remote_addr = number(6);
        request.wr.rdma.rkey = number(7);
    }
    if (pair->path) {
        request.wr.ud.ah = pair->path;
        request.wr.ud.remote_qpn = pair->peer;
        request.wr.ud.remote_qkey = pair->q_key;
    }
    if ((errno = ibv_post_send(pair->qp, &request, &bad)))
        return failed("post");
    printf("done\n");
    return 0;
}

/* poll COUNT MILLISECONDS: as many completions, or those that came until then. */
static int do_poll(void)
{
    struct timespec begun, now;
    uint64_t wanted = number(1), got = 0;

    clock_gettime(CLOCK_MONOTONIC, &begun);
    while (got < wanted) {
        struct ibv_wc done;
        int found = ibv_poll_cq(completions, 1, &done);

        if (found < 0)
            return failed("poll");
        if (found) {
            got++;
            if (done.wr_id & RECEIVES && done.wc_flags & IBV_WC_WITH_IMM && done.status == IBV_WC_SUCCESS)
                printf("arrived %" PRIu64 " %d %u %u\n", done.wr_id & ~RECEIVES, done.status,
                       done.byte_len, ntohl(done.imm_data));
            else if (done.wr_id & RECEIVES)
                printf("arrived %" PRIu64 " %d %u -\n", done.wr_id & ~RECEIVES, done.status, done.byte_len);
            else
                printf("ended %" PRIu64 " %d\n", done.wr_id, done.status);
            continue;
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1000000 > (long)number(2))
            break;
        usleep(100);
    }
    printf("done %" PRIu64 "\n", got);
    return 0;
}

/* fetch OFFSET BYTES: what the region holds, in hexadecimal. */
static int do_fetch(void)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t offset = number(1), bytes = number(2);

    errno = ERANGE;
    if (offset + bytes > memory_bytes)
        return failed("fetch");
    printf("done ");
    for (uint64_t n = offset; n < offset + bytes; n++) {
        putchar_unlocked(digits[memory[n] >> 4]);
        putchar_unlocked(digits[memory[n] & 15]);
    }
    printf("\n");
    return 0;
}

static int digit(char character)
{
    return character <= '9' ? character - '0' : character - 'a' + 10;
}

/* store OFFSET HEXADECIMAL */
static int do_store(void)
{
    uint64_t offset = number(1), bytes = word_count > 2 ? strlen(word[2]) / 2 : 0;

    errno = ERANGE;
    if (offset + bytes > memory_bytes)
        return failed("store");
    for (uint64_t n = 0; n < bytes; n++)
        memory[offset + n] = digit(word[2][2 * n]) << 4 | digit(word[2][2 * n + 1]);
    printf("done\n");
    return 0;
}

static const struct {
    const char *name;
    int words;
    int (*run)(void);
} commands[] = {
    {"open", 2, do_open},       {"region", 3, do_region}, {"create", 2, do_create},
    {"ready", 14, do_ready},    {"destroy", 2, do_destroy}, {"receive", 5, do_receive},
    {"post", 11, do_post},      {"poll", 3, do_poll},     {"fetch", 3, do_fetch},
    {"store", 2, do_store},
};

int main(void)
{
    static char line[LINE_BYTES], output[1 << 16];

    setvbuf(stdout, output, _IOFBF, sizeof output);
    printf("done\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        size_t n;

        word_count = 0;
        for (char *next = strtok(line, " \n"); next && word_count < WORDS; next = strtok(NULL, " \n"))
            word[word_count++] = next;
        if (!word_count)
            continue;
        if (!strcmp(word[0], "bye"))
            return 0;
        for (n = 0; n < sizeof commands / sizeof *commands; n++)
            if (!strcmp(word[0], commands[n].name) && word_count >= commands[n].words)
                break;
        if (n < sizeof commands / sizeof *commands)
            commands[n].run();
        else
            printf("failed no such command\n");
        fflush(stdout);
    }
    return 0;
}
