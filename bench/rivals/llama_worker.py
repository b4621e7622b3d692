"""llama.cpp as the comparisons use it: a request a line of standard input, an answer a line of standard output.

{"call": "open", "model": PATH, "threads": N, "context": N, ...} comes first; then the methods of Worker by name.
"""

import json
import resource
import sys
import time

import llama_cpp
from llama_cpp.llama_speculative import LlamaPromptLookupDecoding

KV_TYPES = {"f16": llama_cpp.GGML_TYPE_F16, "q8": llama_cpp.GGML_TYPE_Q8_0}


def some_tokens(count):
    """The tokens that `vade bench` reads: no two neighbours are alike."""
    return [(i * 7919) % 19800 + 100 for i in range(count)]


def greatest_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


PYTHON_BYTES = greatest_memory()  # what this process takes without a model


def milliseconds(since):
    return (time.perf_counter() - since) * 1000


class Worker:
    def open(self, model, threads, context, flash=True, kv="f16", lookup=0):
        """`lookup`: tokens that llama.cpp's own prompt lookup may guess at a time; 0: off."""
        draft = LlamaPromptLookupDecoding(num_pred_tokens=lookup) if lookup else None
        start = time.perf_counter()
        self.llama = llama_cpp.Llama(
            model, n_ctx=max(context, 64), n_batch=512, n_ubatch=512, n_threads=threads, n_threads_batch=threads,
            flash_attn=flash, type_k=KV_TYPES[kv], type_v=KV_TYPES[kv], draft_model=draft, logits_all=lookup > 0,
            verbose=False)  # without all logits its guesses run out of the rows that it keeps
        load_ms = milliseconds(start)
        self.llama.eval(some_tokens(16))
        self.llama.reset()
        return {"load_ms": load_ms}

    def peak(self):
        return {"bytes": greatest_memory() - PYTHON_BYTES}

    def prefill(self, tokens):
        self.llama.reset()
        ids = some_tokens(tokens)
        start = time.perf_counter()
        self.llama.eval(ids)
        return {"tokens_per_second": tokens / milliseconds(start) * 1000}

    def decode(self, tokens, depth):
        self.llama.reset()
        ids = some_tokens(depth + 1 + tokens)
        self.llama.eval(ids[:depth + 1])
        start = time.perf_counter()
        for token in ids[depth + 1:]:
            self.llama.eval([token])
        return {"tokens_per_second": tokens / milliseconds(start) * 1000}

    def _keep(self, tokens, prefix):
        """What a server's slot holds when another question of the same prefix comes: the prefix."""
        if list(self.llama.input_ids[:prefix]) != tokens[:prefix] or self.llama.n_tokens < prefix:
            self.llama.reset()
            self.llama.eval(tokens[:prefix])
        self.llama.n_tokens = prefix

    def first_token(self, tokens, prefix):
        """Time from the prompt, whose first `prefix` tokens have been read, to the text of one token."""
        self._keep(tokens, prefix)
        start = time.perf_counter()
        text = self.llama.detokenize([next(self.llama.generate(tokens, temp=0))])
        return {"ms": milliseconds(start), "tokens_read": len(tokens) - prefix, "text": text.decode(errors="replace")}

    def answer(self, tokens, max_tokens):
        """A greedy answer; `ms` is what the tokens behind the first one took."""
        self.llama.reset()
        written, start = [], 0
        vocabulary = llama_cpp.llama_model_get_vocab(self.llama.model)
        for token in self.llama.generate(tokens, temp=0):
            start = start or time.perf_counter()
            if llama_cpp.llama_vocab_is_eog(vocabulary, token):
                break
            written.append(token)
            if len(written) == max_tokens:
                break
        text = self.llama.detokenize(written).decode(errors="replace")
        return {"ms": milliseconds(start), "tokens": len(written), "text": text}


def main():
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(getattr(worker, request.pop("call"))(**request)), flush=True)


if __name__ == "__main__":
    main()
