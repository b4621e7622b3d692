// Looks, every few milliseconds, after the calls that are at work: one thread for all of them.
//
// gRPC's synchronous calls do not tell when the other side goes away; they can only be asked. The
// server asks whether a client has cancelled, the client asks whether its Context still wants the
// answer. The thread sleeps while there is no call. Thread-safe; private to service/.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

namespace vade {

class CallWatch {
 public:
  CallWatch();
  ~CallWatch();  // no Watching is left
  CallWatch(const CallWatch&) = delete;
  CallWatch& operator=(const CallWatch&) = delete;

  // While it lives, `look` is called on the watch's thread. When its destructor has returned,
  // `look` is neither running nor called again. `look` is quick and makes no Watching of its own.
  class Watching {
   public:
    Watching(CallWatch* watch, std::function<void()> look);
    ~Watching();
    Watching(const Watching&) = delete;
    Watching& operator=(const Watching&) = delete;

   private:
    CallWatch* watch_;
    std::list<std::function<void()>>::iterator at_;
  };

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::list<std::function<void()>> calls_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace vade
