#include "service/cli.h"

int main(int argc, char** argv) { return vade::RunCli(argc, argv); }
