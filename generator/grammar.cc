#include "generator/grammar.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "base/strings.h"
#include "generator/grammar_automaton.h"
#include "generator/grammar_builder.h"
#include "generator/grammar_program.h"
#include "generator/grammar_text.h"
#include "generator/json_forms.h"
#include "generator/json_schema.h"
#include "generator/token_masks.h"
#include "generator/token_trie.h"

namespace vade {
namespace {

constexpr size_t kMaxVocabularies = 4;  // whose masks one grammar keeps
constexpr size_t kMaxMatchBytes = 64 << 20;

class GrammarConstraint : public TokenConstraint {
 public:
  explicit GrammarConstraint(std::shared_ptr<TokenMasks> masks)
      : masks_(std::move(masks)), position_(masks_->Start()) {}

  std::span<const uint64_t> Allowed() override {
    if (mask_ == nullptr) mask_ = masks_->MaskAt(&position_);
    return *mask_;
  }

  Status Accept(int32_t id) override {
    const auto allowed = Allowed();
    const bool is_token = id >= 0 && id < masks_->trie()->vocab_size();
    if (!is_token || (allowed[id / 64] >> (id % 64) & 1) == 0) {
      return Internal(StrCat("token ", id, " does not fit the form of the answer here"));
    }
    if (masks_->trie()->IsEnd(id)) {
      mask_ = masks_->ends();
    } else {
      masks_->Advance(masks_->trie()->piece(id), &position_);
      mask_ = nullptr;
    }
    return OkStatus();
  }

  std::unique_ptr<TokenConstraint> Clone() const override {
    return std::make_unique<GrammarConstraint>(*this);
  }

 private:
  std::shared_ptr<TokenMasks> masks_;
  TokenMasks::Position position_;
  std::shared_ptr<const TokenMasks::Mask> mask_;  // null until it is asked for
};

}  // namespace

struct Grammar::Impl {
  std::shared_ptr<const GrammarProgram> program;
  std::mutex mutex;
  std::map<const TokenTrie*, std::shared_ptr<TokenMasks>> masks;  // each holds its trie

  static Result<std::shared_ptr<const Grammar>> Make(const GrammarBuilder& builder, RuleId root) {
    ASSIGN_OR_RETURN(GrammarProgram program, CompileGrammar(builder, root));
    auto impl = std::make_unique<Impl>();
    impl->program = std::make_shared<const GrammarProgram>(std::move(program));
    if (GrammarAutomaton(impl->program).start() == GrammarAutomaton::kDead) {
      return ResourceExhausted("the grammar offers too many alternatives at its beginning");
    }
    return std::shared_ptr<const Grammar>(new Grammar(std::move(impl)));
  }

  static Result<std::shared_ptr<const Grammar>> MakeJson(std::string_view rule) {
    GrammarBuilder builder;
    RETURN_IF_ERROR(AddJsonRules(&builder));
    return Make(builder, builder.Declare(rule));
  }

  std::shared_ptr<TokenMasks> MasksOf(std::shared_ptr<const TokenTrie> trie) {
    std::lock_guard lock(mutex);
    const auto found = masks.find(trie.get());
    if (found != masks.end()) return found->second;
    if (masks.size() >= kMaxVocabularies) masks.clear();
    const TokenTrie* key = trie.get();
    return masks[key] = std::make_shared<TokenMasks>(program, std::move(trie));
  }
};

Grammar::Grammar(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Grammar::~Grammar() = default;

Result<std::shared_ptr<const Grammar>> Grammar::FromText(std::string_view text) {
  GrammarBuilder builder;
  RETURN_IF_ERROR(AddGrammarText(text, &builder));
  const RuleId root = builder.Declare("root");
  if (!builder.IsDefined(root)) return InvalidArgument("grammar: no rule is named 'root'");
  return Impl::Make(builder, root);
}

Result<std::shared_ptr<const Grammar>> Grammar::FromJsonSchema(std::string_view schema) {
  GrammarBuilder builder;
  ASSIGN_OR_RETURN(const ExprId whole, AddJsonSchema(schema, &builder));
  const RuleId root = builder.Declare("the schema");
  builder.Define(root, whole);
  auto grammar = Impl::Make(builder, root);
  if (!grammar.ok()) return grammar.status().WithContext("JSON schema");
  return grammar;
}

Result<std::shared_ptr<const Grammar>> Grammar::AnyJson() { return Impl::MakeJson(kJsonValue); }

Result<std::shared_ptr<const Grammar>> Grammar::AnyJsonObject() {
  return Impl::MakeJson(kJsonObject);
}

bool Grammar::Matches(std::string_view text) const {
  auto automaton = std::make_unique<GrammarAutomaton>(impl_->program);
  GrammarAutomaton::StateId state = automaton->start();
  for (const char c : text) {
    state = automaton->Next(state, static_cast<uint8_t>(c));
    if (state == GrammarAutomaton::kDead) return false;
    if (automaton->bytes() < kMaxMatchBytes) continue;
    auto fresh = std::make_unique<GrammarAutomaton>(impl_->program);
    state = fresh->Import(*automaton, state);
    automaton = std::move(fresh);
  }
  return automaton->CanEnd(state);
}

Result<std::unique_ptr<TokenConstraint>> Constrain(std::shared_ptr<const Grammar> grammar,
                                                   const Tokenizer* tokenizer) {
  auto trie = TokenTrie::Shared(*tokenizer);
  const auto& ends = trie->ends();
  if (std::all_of(ends.begin(), ends.end(), [](uint64_t word) { return word == 0; })) {
    return FailedPrecondition(
        "the model's vocabulary has no token that ends an answer, so no form can be asked of it");
  }
  return std::unique_ptr<TokenConstraint>(
      std::make_unique<GrammarConstraint>(grammar->impl_->MasksOf(std::move(trie))));
}

}  // namespace vade
