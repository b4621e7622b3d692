"""Several chats at once through llama.cpp's library, as its server runs them: a sequence a chat in one context.

  rival.py MODEL THREADS CHATS PROMPT TOKENS FLASH KV     prints one line of JSON, as chats_bench does
"""

import ctypes
import json
import resource
import sys
import time

import llama_cpp
import numpy

BATCH, UBATCH = 2048, 512
KV_TYPES = {"f16": llama_cpp.GGML_TYPE_F16, "q8": llama_cpp.GGML_TYPE_Q8_0}


@llama_cpp.llama_log_callback
def quiet(_level, _text, _data):
    pass


class Chats:
    def __init__(self, path, threads, chats, context, form):
        self.model = llama_cpp.llama_load_model_from_file(path.encode(), llama_cpp.llama_model_default_params())
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = context
        parameters.n_batch, parameters.n_ubatch, parameters.n_seq_max = BATCH, UBATCH, chats
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.flash_attn_type = int(form["flash"])
        parameters.type_k = parameters.type_v = KV_TYPES[form["kv"]]
        parameters.kv_unified = False
        self.context = llama_cpp.llama_new_context_with_model(self.model, parameters)
        self.words = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.batch = llama_cpp.llama_batch_init(BATCH, 0, chats)

    def decode(self, entries):
        """Reads (token, position, chat, wanted) in one batch; the likeliest next token of each chat that is wanted."""
        batch = self.batch
        batch.n_tokens = len(entries)
        for i, (token, position, chat, wanted) in enumerate(entries):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, position, 1
            batch.seq_id[i][0], batch.logits[i] = chat, wanted
        if llama_cpp.llama_decode(self.context, batch) != 0:
            sys.exit("the rival refused a batch")
        return {chat: self.likeliest(i) for i, (_, _, chat, wanted) in enumerate(entries) if wanted}

    def likeliest(self, row):
        logits = llama_cpp.llama_get_logits_ith(self.context, row)
        return int(numpy.ctypeslib.as_array(logits, (self.words,)).argmax())

    def warm(self):
        self.decode([(100 + i, i, 0, i == 15) for i in range(16)])
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)


def prompts(chats, tokens):
    return [((i * 7919 + chat * 104729) % 20000 + 100, i, chat, i == tokens - 1)
            for chat in range(chats) for i in range(tokens)]


def main():
    path, threads, chats, prompt, tokens, flash = sys.argv[1], *map(int, sys.argv[2:7])
    form = {"flash": flash, "kv": sys.argv[7]}
    llama_cpp.llama_backend_init()
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    start = time.perf_counter()
    rival = Chats(path, threads, chats, chats * (prompt + tokens + 8), form)
    load = time.perf_counter() - start
    rival.warm()

    start = time.perf_counter()
    entries, last = prompts(chats, prompt), {}
    for at in range(0, len(entries), BATCH):
        last.update(rival.decode(entries[at:at + BATCH]))
    first = time.perf_counter() - start
    for step in range(tokens - 1):
        last = rival.decode([(last[chat], prompt + step, chat, True) for chat in range(chats)])
    seconds = time.perf_counter() - start
    print(json.dumps({"completion_tokens_per_second": chats * tokens / seconds, "seconds": seconds,
                      "first_token_seconds": first, "load_seconds": load,
                      "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
