// The `vade` command (docs/cli.md). Results go to standard output, everything else to standard
// error.
#pragma once

namespace vade {

// Exit status: 0 done, 1 failed (one line said what, and the remedy), 2 usage.
int RunCli(int argc, char** argv);

}  // namespace vade
