#include "index/postings.h"

#include <algorithm>

#include "base/bytes.h"
#include "index/records.h"

namespace vade {
namespace {

bool Covers(const PostingMaximum& m, uint32_t count, uint32_t length) {
  return m.count >= count && m.length <= length;
}

// The postings that no other one beats in both respects, by ascending count and length.
std::vector<PostingMaximum> Front(std::span<const Posting> postings) {
  std::vector<PostingMaximum> all;
  for (const Posting& p : postings) all.push_back({p.count, p.length});
  std::sort(all.begin(), all.end(), [](const PostingMaximum& a, const PostingMaximum& b) {
    return a.count != b.count ? a.count > b.count : a.length < b.length;
  });
  std::vector<PostingMaximum> front;
  for (const PostingMaximum& m : all) {
    if (front.empty() || m.length < front.back().length) front.push_back(m);
  }
  std::reverse(front.begin(), front.end());
  return front;
}

// Neighbours become one that covers both, the most alike first.
std::vector<PostingMaximum> Fewer(std::vector<PostingMaximum> front) {
  while (front.size() > kMaxBlockMaxima) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < front.size(); ++i) {
      const auto gap = [&](size_t j) { return front[j + 1].count - front[j].count; };
      if (gap(i) < gap(best)) best = i;
    }
    front[best].count = front[best + 1].count;
    front.erase(front.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  return front;
}

bool ReadVarint32(ByteReader* in, uint32_t* value) {
  uint64_t wide = 0;
  if (!in->ReadVarint(&wide) || wide == 0 || wide > UINT32_MAX) return false;
  *value = static_cast<uint32_t>(wide);
  return true;
}

Status BadBlock() { return Damaged("block of postings"); }

}  // namespace

std::string EncodePostings(std::span<const Posting> postings) {
  std::string out;
  AppendVarint(&out, postings.size());
  AppendVarint(&out, postings.back().id - postings.front().id);
  const std::vector<PostingMaximum> maxima = Fewer(Front(postings));
  AppendVarint(&out, maxima.size());
  for (const PostingMaximum& m : maxima) {
    AppendVarint(&out, m.count);
    AppendVarint(&out, m.length);
  }
  PassageId previous = postings.front().id;
  for (const Posting& p : postings) {
    AppendVarint(&out, p.id - previous);
    AppendVarint(&out, p.count);
    AppendVarint(&out, p.length);
    previous = p.id;
  }
  return out;
}

Result<PostingBlock> DecodePostingBlock(PassageId first, std::string_view bytes) {
  ByteReader in(bytes);
  PostingBlock block;
  block.first = first;
  uint64_t span = 0;
  uint32_t maxima = 0;
  if (first == 0 || !ReadVarint32(&in, &block.count) || block.count > kMaxBlockPostings ||
      !in.ReadVarint(&span) || span > UINT64_MAX - first || !ReadVarint32(&in, &maxima) ||
      maxima > kMaxBlockMaxima) {
    return BadBlock();
  }
  block.last = first + span;
  for (; maxima > 0; --maxima) {
    PostingMaximum m;
    if (!ReadVarint32(&in, &m.count) || !ReadVarint32(&in, &m.length)) return BadBlock();
    block.all_maxima[block.maxima_count++] = m;
  }
  block.entries = bytes.substr(bytes.size() - in.remaining());
  return block;
}

Result<std::vector<Posting>> DecodePostings(const PostingBlock& block) {
  std::vector<Posting> postings;
  RETURN_IF_ERROR(ReadPostings(block, &postings));
  const auto maxima = block.maxima();
  for (const Posting& p : postings) {
    const bool covered = std::any_of(maxima.begin(), maxima.end(), [&](const PostingMaximum& m) {
      return Covers(m, p.count, p.length);
    });
    if (!covered) return BadBlock();
  }
  return postings;
}

Status ReadPostings(const PostingBlock& block, std::vector<Posting>* postings) {
  ByteReader in(block.entries);
  postings->clear();
  postings->reserve(block.count);
  PassageId previous = block.first;
  for (uint32_t i = 0; i < block.count; ++i) {
    Posting p;
    uint64_t step = 0;
    if (!in.ReadVarint(&step) || (step == 0) != (i == 0) || step > block.last - previous ||
        !ReadVarint32(&in, &p.count) || !ReadVarint32(&in, &p.length)) {
      return BadBlock();
    }
    p.id = previous += step;
    const auto maxima = block.maxima();
    const bool covered = std::any_of(maxima.begin(), maxima.end(), [&](const PostingMaximum& m) {
      return Covers(m, p.count, p.length);
    });
    if (!covered) return BadBlock();
    postings->push_back(p);
  }
  if (in.remaining() > 0 || previous != block.last) return BadBlock();
  return OkStatus();
}

}  // namespace vade
