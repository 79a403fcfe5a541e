import java.io.IOException;
import java.net.Socket;

/** Opens connections and holds them: java Hold (idle|sending ADDRESS PORT)... */
public class Hold {
    private static void hold(String use, String address, int port) {
        try (Socket connection = new Socket(address, port)) {
            while (use.equals("sending")) {
                connection.getOutputStream().write('.');
                Thread.sleep(100);
            }
            connection.getInputStream().read();
        } catch (IOException | InterruptedException e) {
            System.err.println(e);
        }
    }

    public static void main(String[] args) {
        for (int i = 0; i + 2 < args.length; i += 3) {
            String use = args[i], address = args[i + 1];
            int port = Integer.parseInt(args[i + 2]);
            new Thread(() -> hold(use, address, port)).start();
        }
    }
}
