// A library loaded into the unmodified engine. It watches llama_decode and lets the backend
// scheduler call back at the nodes it wants to time, through public functions only. It prints
// nothing, changes no result, and keeps its own failures for its report.

#include <dlfcn.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "ggml-backend.h"
#include "ggml.h"
#include "llama.h"
#include "node_class.h"
#include "report.h"

namespace edgemoe_probe {
namespace {

static_assert(GGML_MAX_NAME <= kMaxName, "node names of this engine do not fit");

using KvCells = std::int32_t (*)(const llama_context*);

// The engine's functions. Looked up by name, not linked, so that the library also loads into
// programs that have none of them (a shell or a debugger the engine was started by or starts).
struct Engine {
    decltype(&::llama_decode) decode;
    decltype(&::llama_synchronize) synchronize;
    decltype(&::llama_perf_context_reset) perf_reset;
    decltype(&::llama_perf_context_print) perf_print;
    decltype(&::llama_perf_context) perf_data;
#if defined(EDGEMOE_LLAMA_PROCESS)
    decltype(&::llama_process) process;
    decltype(&::llama_batch_ext_clear) batch_clear;
    decltype(&::llama_batch_ext_add) batch_add;
    decltype(&::llama_batch_ext_add_token) batch_add_token;
    decltype(&::llama_batch_ext_add_embd) batch_add_embd;
#endif
    decltype(&::ggml_backend_sched_graph_compute_async) compute;
    decltype(&::ggml_backend_sched_set_eval_callback) set_callback;
    decltype(&::ggml_graph_n_nodes) graph_size;
    decltype(&::ggml_graph_node) graph_node;
    decltype(&::ggml_get_name) node_name;
    decltype(&::ggml_op_desc) node_operation;
    decltype(&::ggml_nelements) elements;
    decltype(&::ggml_nrows) rows;
    decltype(&::ggml_nbytes) bytes;
    decltype(&::ggml_backend_tensor_get) read_tensor;
    KvCells kv_cells;  // renamed, later withdrawn; null in pins that have neither
};

struct Plan {
    PlannedNode nodes[kMaxNodes];
    std::size_t count;
};

// The decode that is going on. Only the thread inside llama_decode touches it.
struct Current {
    Decode record;
    std::int64_t mark_ns;   // when the last timed stretch ended
    std::size_t next_node;  // that the scheduler will ask about
    std::size_t experts;    // of the router whose logits were computed last
    bool broken;            // the order was not kept: stop timing this decode
};

Engine engine;
Report report;
Plan plan;
Current current;
thread_local bool decoding;  // this thread is inside llama_decode and `current` is its
std::atomic<bool> foreign_callback;
std::atomic<const llama_context*> only_context;
std::int32_t chosen_ids[1 << 18];  // some rows of chosen experts at a time
std::uint64_t turns[2];  // decodes so far of each kind, for the rotation

// Every order of the three modes, so that none profits from its place or its predecessor.
constexpr Mode kTurns[6][3] = {
    {Mode::kBare, Mode::kBoundary, Mode::kPerNode}, {Mode::kPerNode, Mode::kBoundary, Mode::kBare},
    {Mode::kBoundary, Mode::kBare, Mode::kPerNode}, {Mode::kPerNode, Mode::kBare, Mode::kBoundary},
    {Mode::kBare, Mode::kPerNode, Mode::kBoundary}, {Mode::kBoundary, Mode::kPerNode, Mode::kBare},
};

// The clock of Python's time.monotonic_ns on either system.
std::int64_t now_ns() {
#if defined(__APPLE__)
    return static_cast<std::int64_t>(clock_gettime_nsec_np(CLOCK_UPTIME_RAW));
#else
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::int64_t>(t.tv_sec) * 1000000000 + t.tv_nsec;
#endif
}

bool times_nodes(Mode mode) { return mode == Mode::kBoundary || mode == Mode::kPerNode; }

Mode mode_of_call(std::int32_t tokens) {
    if (report.mode != Mode::kRotate) return report.mode;
    const std::uint64_t turn = turns[tokens == 1 ? 0 : 1]++;
    return kTurns[turn / 3 % 6][turn % 3];
}

// ---- the graph ----

bool same_as_planned(ggml_cgraph* graph, std::size_t count) {
    if (count != plan.count) return false;
    for (std::size_t i = 0; i < count; ++i) {
        const ggml_tensor* node = engine.graph_node(graph, static_cast<int>(i));
        if (std::strcmp(plan.nodes[i].name, engine.node_name(node)) != 0) return false;
        if (plan.nodes[i].product != is_product(engine.node_operation(node))) return false;
    }
    return true;
}

void make_plan(ggml_cgraph* graph, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        const ggml_tensor* node = engine.graph_node(graph, static_cast<int>(i));
        std::strncpy(plan.nodes[i].name, engine.node_name(node), kMaxName - 1);
        note_operation(plan.nodes[i], engine.node_operation(node));
    }
    classify(plan.nodes, count);
    plan.count = count;
}

void note_nodes(ggml_cgraph* graph) {
    const bool per_node = current.record.mode == Mode::kPerNode;
    for (std::size_t i = 0; i < plan.count; ++i) {
        PlannedNode& node = plan.nodes[i];
        node.tensor = engine.graph_node(graph, static_cast<int>(i));
        current.record.nodes[static_cast<std::size_t>(node.own)] += 1;
        current.record.charged[static_cast<std::size_t>(per_node ? node.own : node.charged)] += 1;
        if (node.projection) current.record.projections += 1;
        if (node.unknown && !per_node) note_unknown(report, told_name(node), -1);
    }
}

bool prepare(ggml_cgraph* graph) {
    const int count = engine.graph_size(graph);
    if (count <= 0 || static_cast<std::size_t>(count) > kMaxNodes) return false;
    if (!same_as_planned(graph, static_cast<std::size_t>(count))) {
        make_plan(graph, static_cast<std::size_t>(count));
    }
    note_nodes(graph);
    current.next_node = 0;
    return true;
}

bool wants(const ggml_tensor* tensor) {
    if (current.broken) return false;
    if (current.next_node >= plan.count || plan.nodes[current.next_node].tensor != tensor) {
        current.broken = true;
        note(report, Failure::kOrderMismatch);
        return false;
    }
    const PlannedNode& node = plan.nodes[current.next_node++];
    return current.record.mode == Mode::kPerNode || node.edge;
}

void charge_node(const PlannedNode& node, std::int64_t spent) {
    Decode& record = current.record;
    if (node.projection) record.projections_ns += spent;
    if (node.own == NodeClass::kRouting && node.charged != node.own) record.moved_ns += spent;
    if (node.unknown) note_unknown(report, told_name(node), spent);
}

// ---- the chosen experts ----

// How chosen ids lie in memory: `count` of a token side by side, `stride` from token to token.
struct Chosen {
    std::size_t tokens;
    std::size_t count;
    std::size_t stride;
};

// From ggml's functions alone, see the README. False for what is not rows of 32-bit ids.
bool lay_out(const ggml_tensor* tensor, Chosen& chosen) {
    constexpr std::size_t kId = sizeof(std::int32_t);
    chosen.tokens = static_cast<std::size_t>(engine.rows(tensor));
    const auto ids = static_cast<std::size_t>(engine.elements(tensor));
    if (chosen.tokens == 0) return true;  // a part of a prompt that nothing is asked of
    chosen.count = ids / chosen.tokens;
    const std::size_t bytes = engine.bytes(tensor);
    if (chosen.count == 0 || bytes < chosen.count * kId) return false;
    // The last row ends where its ids end.
    const std::size_t ahead = bytes - chosen.count * kId;
    chosen.stride = chosen.tokens > 1 ? ahead / (chosen.tokens - 1) : chosen.count * kId;
    return chosen.stride % kId == 0 && chosen.stride >= chosen.count * kId &&
           chosen.stride <= sizeof(chosen_ids) && ahead == chosen.stride * (chosen.tokens - 1);
}

bool read_chosen(const ggml_tensor* tensor, std::size_t layer, LayerUse& use) {
    Chosen chosen{};
    if (!lay_out(tensor, chosen)) return false;
    constexpr std::size_t kId = sizeof(std::int32_t);
    const std::size_t row_bytes = chosen.count * kId;
    for (std::size_t done = 0; done < chosen.tokens;) {
        const std::size_t fit = (sizeof(chosen_ids) - row_bytes) / chosen.stride + 1;
        const std::size_t rows = fit < chosen.tokens - done ? fit : chosen.tokens - done;
        engine.read_tensor(tensor, chosen_ids, done * chosen.stride,
                           (rows - 1) * chosen.stride + row_bytes);
        for (std::size_t row = 0; row < rows; ++row) {
            const std::int32_t* ids = chosen_ids + row * chosen.stride / kId;
            if (!note_chosen(report.use, use, layer, ids, chosen.count)) return false;
        }
        done += rows;
    }
    return true;
}

// A copy of a few bytes, on some backends with a wait of its own: hence only where every node is
// waited for anyway, where no other mode is to be compared with, and outside of all nodes' times.
void look_at_experts(const PlannedNode& node, const ggml_tensor* tensor) {
    if (node.role == NodeRole::kNone || report.mode != Mode::kPerNode) return;
    const std::int64_t begin_ns = now_ns();
    if (node.role == NodeRole::kLogits) {
        const std::int64_t rows = engine.rows(tensor);
        current.experts = rows > 0 ? static_cast<std::size_t>(engine.elements(tensor) / rows) : 0;
        return;
    }
    const auto layer = static_cast<std::size_t>(node.layer);
    bool good = node.layer >= 0 && layer < kMaxLayers && current.experts <= kMaxExperts;
    if (good && engine.rows(tensor) > 0) {
        report.use.experts[layer] = static_cast<std::uint32_t>(current.experts);
        const bool decodes = current.record.tokens == 1;
        good = read_chosen(tensor, layer,
                           decodes ? report.use.decode[layer] : report.use.prompt[layer]);
    }
    if (!good) note(report, Failure::kExpertsUnread);
    current.record.reading_ns += now_ns() - begin_ns;
}

void charge(const ggml_tensor* tensor) {
    const std::int64_t now = now_ns();
    const std::int64_t spent = now - current.mark_ns;
    const PlannedNode& node = plan.nodes[current.next_node - 1];
    const bool per_node = current.record.mode == Mode::kPerNode;
    const auto cls = static_cast<std::size_t>(per_node ? node.own : node.charged);
    current.record.class_ns[cls] += spent;
    current.record.class_syncs[cls] += 1;
    current.record.syncs += 1;
    if (per_node) charge_node(node, spent);
    if (per_node) look_at_experts(node, tensor);
    current.mark_ns = now_ns();
}

// The scheduler asks about every node in turn, computes up to and including the one that is
// wanted, waits for it, and calls again with ask false.
bool on_node(ggml_tensor* tensor, bool ask, void* /*user_data*/) {
    if (ask) return wants(tensor);
    if (!current.broken) charge(tensor);
    return true;
}

ggml_status on_compute(ggml_backend_sched_t sched, ggml_cgraph* graph) {
    if (engine.compute == nullptr) return GGML_STATUS_FAILED;
    const bool timed = decoding && times_nodes(current.record.mode);
    if (!timed || current.broken) return engine.compute(sched, graph);
    if (foreign_callback.load()) {
        note(report, Failure::kCallbackTaken);
        current.broken = true;
        return engine.compute(sched, graph);
    }
    if (!prepare(graph)) {
        note(report, Failure::kGraphTooLarge);
        current.broken = true;
        return engine.compute(sched, graph);
    }
    current.record.graphs += 1;
    engine.set_callback(sched, on_node, nullptr);
    current.mark_ns = now_ns();
    const ggml_status status = engine.compute(sched, graph);
    engine.set_callback(sched, nullptr, nullptr);
    return status;
}

// ---- the calls ----

void begin(const llama_context* context, std::int32_t tokens) {
    const llama_context* first = nullptr;
    if (!only_context.compare_exchange_strong(first, context) && first != context) {
        note(report, Failure::kSeveralContexts);
    }
    current = Current{};
    current.record.tokens = tokens;
    current.record.mode = mode_of_call(tokens);
    current.record.kv_cells = engine.kv_cells != nullptr ? engine.kv_cells(context) : -1;
    if (current.record.kv_cells == 0) begin_sequence(report.use);
    current.record.start_ns = now_ns();
}

void finish(llama_context* context, std::int32_t result) {
    // A backend that computes asynchronously returns before it is done; wait, so that the modes
    // can be compared. The engine would wait at its next step anyway.
    if (current.record.mode != Mode::kOff) engine.synchronize(context);
    current.record.wall_ns = now_ns() - current.record.start_ns;
    current.record.result = result;
    current.record.timed =
        times_nodes(current.record.mode) && !current.broken && current.record.graphs > 0;
    append(report, current.record);
}

template <typename Call>
std::int32_t watch(llama_context* context, std::int32_t tokens, Call call) {
    if (report.path[0] == '\0') return call();
    if (report.in_decode.exchange(true)) {
        note(report, Failure::kConcurrentCall);
        return call();
    }
    decoding = true;
    begin(context, tokens);
    const std::int32_t result = call();
    finish(context, result);
    decoding = false;
    report.in_decode.store(false);
    return result;
}

std::int32_t on_decode(llama_context* context, llama_batch batch) {
    if (engine.decode == nullptr) return -1;
    return watch(context, batch.n_tokens, [&] { return engine.decode(context, batch); });
}

#if defined(EDGEMOE_LLAMA_PROCESS)
// Later engines decode through another function, whose batch does not tell how many tokens it has:
// they are counted as they are put in. A program has one batch, or few; the last ones are known.
constexpr std::size_t kMaxBatches = 16;
struct CountedBatch {
    const llama_batch_ext* batch;
    std::int32_t tokens;
};
CountedBatch batches[kMaxBatches];
std::size_t next_batch;

CountedBatch& counted(const llama_batch_ext* batch) {
    for (CountedBatch& known : batches) {
        if (known.batch == batch) return known;
    }
    CountedBatch& fresh = batches[next_batch++ % kMaxBatches];
    fresh = {batch, 0};
    return fresh;
}

std::int32_t count_added(const llama_batch_ext* batch, std::int32_t index) {
    if (index >= 0) counted(batch).tokens = index + 1;
    return index;
}

void on_batch_clear(llama_batch_ext* batch) {
    if (engine.batch_clear != nullptr) engine.batch_clear(batch);
    counted(batch).tokens = 0;
}

std::int32_t on_batch_add(llama_batch_ext* batch, llama_seq_id sequence) {
    if (engine.batch_add == nullptr) return -1;
    return count_added(batch, engine.batch_add(batch, sequence));
}

std::int32_t on_batch_add_token(llama_batch_ext* batch, llama_seq_id sequence, llama_token id) {
    if (engine.batch_add_token == nullptr) return -1;
    return count_added(batch, engine.batch_add_token(batch, sequence, id));
}

std::int32_t on_batch_add_embd(llama_batch_ext* batch, llama_seq_id sequence, llama_embd embd) {
    if (engine.batch_add_embd == nullptr) return -1;
    return count_added(batch, engine.batch_add_embd(batch, sequence, embd));
}

std::int32_t on_process(llama_context* context, llama_process_type type, llama_batch_ext* batch) {
    if (engine.process == nullptr) return -1;
    if (type != LLAMA_PROCESS_TYPE_DECODE) return engine.process(context, type, batch);
    return watch(context, counted(batch).tokens,
                 [&] { return engine.process(context, type, batch); });
}
#endif

void on_perf_reset(llama_context* context) {
    if (engine.perf_reset != nullptr) engine.perf_reset(context);
    discard(report);
    turns[0] = turns[1] = 0;
}

void on_perf_print(const llama_context* context) {
    if (engine.perf_print != nullptr) engine.perf_print(context);
    write_report(report, "perf_print");
}

// Later engines print the figures themselves. What they ask for in the middle is written over at the
// end; nothing is written before there is something to tell.
llama_perf_context_data on_perf_data(const llama_context* context) {
    if (engine.perf_data == nullptr) return {};
    const llama_perf_context_data data = engine.perf_data(context);
    if (report.changed.load() && report.count.load() > 0) write_report(report, "perf_print");
    return data;
}

void on_set_callback(ggml_backend_sched_t sched, ggml_backend_sched_eval_callback callback,
                     void* user_data) {
    if (engine.set_callback == nullptr) return;
    foreign_callback.store(callback != nullptr);
    engine.set_callback(sched, callback, user_data);
}

// ---- loading ----

void miss(const char* name) {
    note(report, Failure::kSymbolMissing);
    if (report.missing_symbol_named.exchange(true)) return;
    std::strncpy(report.missing_symbol, name, kMaxName - 1);
}

// POSIX guarantees that a function's address survives the way through void*.
template <typename Function>
Function look_up(void* where, const char* name) {
    return reinterpret_cast<Function>(dlsym(where, name));
}

template <typename Function>
Function required(void* where, const char* name) {
    const Function function = look_up<Function>(where, name);
    if (function == nullptr) miss(name);
    return function;
}

// A function that is interposed: the one below us, not our own. dyld leaves the calls of an
// interposing library alone, so there the plain name is the engine's.
#if defined(__APPLE__)
#define EDGEMOE_BELOW(name) (&::name)
#else
#define EDGEMOE_BELOW(name) required<decltype(&::name)>(RTLD_NEXT, #name)
#endif
#define EDGEMOE_ANYWHERE(name) required<decltype(&::name)>(RTLD_DEFAULT, #name)

void find_engine() {
    engine.decode = EDGEMOE_BELOW(llama_decode);
    engine.perf_reset = EDGEMOE_BELOW(llama_perf_context_reset);
    engine.perf_print = EDGEMOE_BELOW(llama_perf_context_print);
    engine.perf_data = EDGEMOE_BELOW(llama_perf_context);
#if defined(EDGEMOE_LLAMA_PROCESS)
    engine.process = EDGEMOE_BELOW(llama_process);
    engine.batch_clear = EDGEMOE_BELOW(llama_batch_ext_clear);
    engine.batch_add = EDGEMOE_BELOW(llama_batch_ext_add);
    engine.batch_add_token = EDGEMOE_BELOW(llama_batch_ext_add_token);
    engine.batch_add_embd = EDGEMOE_BELOW(llama_batch_ext_add_embd);
#endif
    engine.compute = EDGEMOE_BELOW(ggml_backend_sched_graph_compute_async);
    engine.set_callback = EDGEMOE_BELOW(ggml_backend_sched_set_eval_callback);
    engine.synchronize = EDGEMOE_ANYWHERE(llama_synchronize);
    engine.graph_size = EDGEMOE_ANYWHERE(ggml_graph_n_nodes);
    engine.graph_node = EDGEMOE_ANYWHERE(ggml_graph_node);
    engine.node_name = EDGEMOE_ANYWHERE(ggml_get_name);
    engine.node_operation = EDGEMOE_ANYWHERE(ggml_op_desc);
    engine.elements = EDGEMOE_ANYWHERE(ggml_nelements);
    engine.rows = EDGEMOE_ANYWHERE(ggml_nrows);
    engine.bytes = EDGEMOE_ANYWHERE(ggml_nbytes);
    engine.read_tensor = EDGEMOE_ANYWHERE(ggml_backend_tensor_get);
    for (const char* name : {"llama_get_kv_cache_used_cells", "llama_kv_self_used_cells"}) {
        if (engine.kv_cells == nullptr) engine.kv_cells = look_up<KvCells>(RTLD_DEFAULT, name);
    }
}

bool any_failure(Failure failure) {
    return report.failures[static_cast<std::size_t>(failure)].load() > 0;
}

void choose_mode(const char* name) {
    const std::string_view mode = name != nullptr ? name : "";
    if (mode == "per-node") {
        report.mode = Mode::kPerNode;
    } else if (mode == "boundary") {
        report.mode = Mode::kBoundary;
    } else if (mode == "rotate") {
        report.mode = Mode::kRotate;
    } else {
        report.mode = Mode::kOff;
        if (mode != "off") note(report, Failure::kBadMode);
    }
}

// Only where nobody else handles the signal yet (the engine does once it generates): write what
// there is, then die by the signal as the engine would have.
void on_interrupt(int number) {
    write_report(report, "signal");
    signal(number, SIG_DFL);
    raise(number);
}

void install_interrupt() {
    struct sigaction old;
    if (sigaction(SIGINT, nullptr, &old) != 0 || old.sa_handler != SIG_DFL) return;
    struct sigaction ours;
    std::memset(&ours, 0, sizeof(ours));
    ours.sa_handler = on_interrupt;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGINT, &ours, nullptr);
}

__attribute__((constructor)) void load() {
    const char* path = std::getenv("EDGEMOE_PROBE_OUT");
    find_engine();
    if (path == nullptr || std::strlen(path) >= kMaxPath) return;
    choose_mode(std::getenv("EDGEMOE_PROBE_MODE"));
    if (any_failure(Failure::kSymbolMissing)) report.mode = Mode::kOff;
    std::strcpy(report.path, path);
    if (engine.decode == nullptr) return;
    unsetenv(
        "EDGEMOE_PROBE_OUT");  // a program the engine starts (a debugger at an abort) is not it
    install_interrupt();
}

// A program without the engine's functions (a wrapper, a statically linked engine) says so only
// where no engine has left a report.
__attribute__((destructor)) void unload() {
    if (report.path[0] == '\0') return;
    if (engine.decode == nullptr && access(report.path, F_OK) == 0) return;
    if (report.changed.load()) write_report(report, "exit");
}

}  // namespace
}  // namespace edgemoe_probe

// ---- interposing ----

#if defined(__APPLE__)
// Untested: no machine with macOS was at hand.
#define EDGEMOE_INTERPOSE(ours, theirs)                                                          \
    __attribute__((                                                                              \
        used, section("__DATA,__interpose"))) static const void* const interpose_##theirs[2] = { \
        reinterpret_cast<const void*>(&edgemoe_probe::ours),                                     \
        reinterpret_cast<const void*>(&theirs)}
EDGEMOE_INTERPOSE(on_decode, llama_decode);
EDGEMOE_INTERPOSE(on_perf_reset, llama_perf_context_reset);
EDGEMOE_INTERPOSE(on_perf_print, llama_perf_context_print);
EDGEMOE_INTERPOSE(on_perf_data, llama_perf_context);
#if defined(EDGEMOE_LLAMA_PROCESS)
EDGEMOE_INTERPOSE(on_process, llama_process);
EDGEMOE_INTERPOSE(on_batch_clear, llama_batch_ext_clear);
EDGEMOE_INTERPOSE(on_batch_add, llama_batch_ext_add);
EDGEMOE_INTERPOSE(on_batch_add_token, llama_batch_ext_add_token);
EDGEMOE_INTERPOSE(on_batch_add_embd, llama_batch_ext_add_embd);
#endif
EDGEMOE_INTERPOSE(on_compute, ggml_backend_sched_graph_compute_async);
EDGEMOE_INTERPOSE(on_set_callback, ggml_backend_sched_set_eval_callback);
#else
#define EDGEMOE_EXPORT extern "C" __attribute__((visibility("default")))

EDGEMOE_EXPORT std::int32_t llama_decode(llama_context* context, llama_batch batch) {
    return edgemoe_probe::on_decode(context, batch);
}

EDGEMOE_EXPORT void llama_perf_context_reset(llama_context* context) {
    edgemoe_probe::on_perf_reset(context);
}

EDGEMOE_EXPORT void llama_perf_context_print(const llama_context* context) {
    edgemoe_probe::on_perf_print(context);
}

EDGEMOE_EXPORT llama_perf_context_data llama_perf_context(const llama_context* context) {
    return edgemoe_probe::on_perf_data(context);
}

#if defined(EDGEMOE_LLAMA_PROCESS)
EDGEMOE_EXPORT std::int32_t llama_process(llama_context* context, llama_process_type type,
                                          llama_batch_ext* batch) {
    return edgemoe_probe::on_process(context, type, batch);
}

EDGEMOE_EXPORT void llama_batch_ext_clear(llama_batch_ext* batch) {
    edgemoe_probe::on_batch_clear(batch);
}

EDGEMOE_EXPORT std::int32_t llama_batch_ext_add(llama_batch_ext* batch, llama_seq_id sequence) {
    return edgemoe_probe::on_batch_add(batch, sequence);
}

EDGEMOE_EXPORT std::int32_t llama_batch_ext_add_token(llama_batch_ext* batch, llama_seq_id sequence,
                                                      llama_token id) {
    return edgemoe_probe::on_batch_add_token(batch, sequence, id);
}

EDGEMOE_EXPORT std::int32_t llama_batch_ext_add_embd(llama_batch_ext* batch, llama_seq_id sequence,
                                                     llama_embd embd) {
    return edgemoe_probe::on_batch_add_embd(batch, sequence, embd);
}
#endif

EDGEMOE_EXPORT ggml_status ggml_backend_sched_graph_compute_async(ggml_backend_sched_t sched,
                                                                  ggml_cgraph* graph) {
    return edgemoe_probe::on_compute(sched, graph);
}

EDGEMOE_EXPORT void ggml_backend_sched_set_eval_callback(ggml_backend_sched_t sched,
                                                         ggml_backend_sched_eval_callback callback,
                                                         void* user_data) {
    edgemoe_probe::on_set_callback(sched, callback, user_data);
}
#endif
