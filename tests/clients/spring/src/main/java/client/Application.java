package client;

import java.time.Duration;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.security.oauth2.client.RefreshTokenOAuth2AuthorizedClientProvider;

@SpringBootApplication
public class Application {
    public static void main(String[] arguments) {
        SpringApplication.run(Application.class, arguments);
    }

    /** Spring's own way to refresh; here every access token counts as one that ends soon. */
    @Bean
    RefreshTokenOAuth2AuthorizedClientProvider refreshing() {
        var provider = new RefreshTokenOAuth2AuthorizedClientProvider();
        provider.setClockSkew(Duration.ofDays(1));
        return provider;
    }
}
