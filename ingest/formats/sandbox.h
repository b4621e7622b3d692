// The walls of vade-parse: what a process gives up before it reads a file from outside.
//
//   OpenForLater("/usr/share/poppler");   // while files can be opened
//   RETURN_IF_ERROR(EnterSandbox(time));  // from here on they cannot
//
// Compiled out under sanitizers, which need what is forbidden. Linux only.
#pragma once

#include <chrono>
#include <string>

#include "base/status.h"

namespace vade {

// Opens all files below `folder`; fopen() finds them by their path inside of the sandbox. A folder
// that does not exist has none.
void OpenForLater(const std::string& folder);

bool SandboxIsCompiledIn();

// Limits memory and the processor's time, and leaves of the system's calls those that read and
// write what is open, handle memory, tell the time and end. Cannot be undone.
Status EnterSandbox(std::chrono::seconds processor_time);

}  // namespace vade
