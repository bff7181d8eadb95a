// A host for the probe's tests: decodes a few tokens through the public API.
// Usage: probe_host MODEL plain|callback|two-contexts|batches|crash
// Prints the best token after each call.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "ggml-backend.h"
#include "llama.h"

namespace {

int calls_back = 0;

bool own_callback(ggml_tensor*, bool ask, void*) {
    calls_back += ask ? 0 : 1;
    return true;
}

llama_context* make_context(llama_model* model, bool with_callback) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 256;
    params.n_batch = 128;
    params.n_ubatch = 16;
    params.n_threads = 1;
    params.n_threads_batch = 1;
    if (with_callback) params.cb_eval = own_callback;
    return llama_new_context_with_model(model, params);
}

bool decode(llama_context* context, std::vector<llama_token> tokens) {
    const llama_batch batch = llama_batch_get_one(tokens.data(), static_cast<int>(tokens.size()));
    if (llama_decode(context, batch) != 0) return false;
    const float* logits = llama_get_logits_ith(context, -1);
    std::printf("%d\n", static_cast<int>(std::max_element(logits, logits + 200) - logits));
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const bool with_callback = std::strcmp(argv[2], "callback") == 0;
    llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    llama_model_params params = llama_model_default_params();
    llama_model* model = llama_load_model_from_file(argv[1], params);
    if (model == nullptr) return 1;
    llama_context* context = make_context(model, with_callback);
    bool good = true;
    if (std::strcmp(argv[2], "batches") == 0) good = decode(context, std::vector<llama_token>(40, 7));
    for (int token = 5; token < 8; ++token) good = good && decode(context, {token});
    if (std::strcmp(argv[2], "two-contexts") == 0) {
        llama_context* second = make_context(model, false);
        good = good && decode(second, {5});
        llama_free(second);
    }
    if (std::strcmp(argv[2], "crash") == 0) {
        std::fflush(stdout);
        if (std::system("ls / >/dev/null") != 0) return 5;  // as an engine starts a debugger when it aborts
        std::_Exit(0);
    }
    if (with_callback && calls_back == 0) return 3;
    llama_free(context);
    llama_free_model(model);
    return good ? 0 : 4;
}
